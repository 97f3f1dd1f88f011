// Socket.IO as a server of topics: a room for each.

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const BACKLOG = 5_000;
const MESSAGE_BYTES = 16 << 20; // the default is less than 1 MiB

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "0" }, compress: { type: "boolean", default: false } },
});
const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  perMessageDeflate: options.compress,
  maxHttpBufferSize: MESSAGE_BYTES,
});

io.on("connection", (socket) => {
  const { publish, topics = "0" } = socket.handshake.query;
  if (publish) {
    socket.on("m", (message) => io.to(`t${message.readUInt32BE(message.length - 4)}`).emit("m", message));
  } else {
    socket.join(topics.split(",").map((topic) => `t${topic}`));
  }
});

server.listen({ host: "127.0.0.1", port: Number(options.port), backlog: BACKLOG }, () => {
  console.log(`listening on ws://127.0.0.1:${server.address().port}/ws`);
});
process.on("SIGTERM", () => process.exit(0));
