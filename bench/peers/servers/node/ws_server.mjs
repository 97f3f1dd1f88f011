// `ws` as a server of topics: one send() for each reader and message, as in its example of a broadcast.

import { parseArgs } from "node:util";
import { WebSocket, WebSocketServer } from "ws";

const BACKLOG = 5_000;

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "0" }, compress: { type: "boolean", default: false } },
});
const readers = new Map();
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(options.port),
  path: "/ws",
  backlog: BACKLOG,
  perMessageDeflate: options.compress,
});

server.on("connection", (socket, request) => {
  socket.on("error", console.error);
  const query = new URL(request.url, "ws://127.0.0.1").searchParams;
  if (query.has("publish")) socket.on("message", publish);
  else read(socket, (query.get("topics") ?? "0").split(",").map(Number));
});

function publish(message, isBinary) {
  for (const reader of readersOf(message.readUInt32BE(message.length - 4))) {
    if (reader.readyState === WebSocket.OPEN) reader.send(message, { binary: isBinary });
  }
}

function read(socket, topics) {
  for (const topic of topics) readersOf(topic).add(socket);
  socket.on("close", () => topics.forEach((topic) => readersOf(topic).delete(socket)));
}

function readersOf(topic) {
  if (!readers.has(topic)) readers.set(topic, new Set());
  return readers.get(topic);
}

server.on("listening", () => console.log(`listening on ws://127.0.0.1:${server.address().port}/ws`));
process.on("SIGTERM", () => process.exit(0));
