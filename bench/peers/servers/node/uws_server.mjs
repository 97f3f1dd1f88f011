// uWebSockets.js as a server of topics: its own publish and subscribe.

import { parseArgs } from "node:util";
import uWS from "uWebSockets.js";

// A reader with more than this unsent is not sent the next message, and nobody is told. The default is 64 KiB, but
// here a message is to reach every reader.
const UNSENT_BYTES = 64 << 20;
const MESSAGE_BYTES = 16 << 20; // as in its examples; the default is 16 KiB

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "0" }, compress: { type: "boolean", default: false } },
});
const app = uWS.App();

app.ws("/ws", {
  compression: options.compress ? uWS.SHARED_COMPRESSOR : uWS.DISABLED,
  maxPayloadLength: MESSAGE_BYTES,
  maxBackpressure: UNSENT_BYTES,

  // Keep the topics of a connection with it: the query is gone once it is open.
  upgrade: (response, request, context) => {
    response.upgrade(
      { topics: request.getQuery("publish") ? [] : (request.getQuery("topics") ?? "0").split(",") },
      request.getHeader("sec-websocket-key"),
      request.getHeader("sec-websocket-protocol"),
      request.getHeader("sec-websocket-extensions"),
      context,
    );
  },
  open: (ws) => ws.getUserData().topics.forEach((topic) => ws.subscribe(topic)),
  message: (ws, message, isBinary) => {
    const topic = new DataView(message).getUint32(message.byteLength - 4);
    app.publish(String(topic), message, isBinary, options.compress);
  },
});

app.listen("127.0.0.1", Number(options.port), (listening) => {
  if (!listening) throw new Error(`port ${options.port} is taken`);
  console.log(`listening on ws://127.0.0.1:${uWS.us_socket_local_port(listening)}/ws`);
});
process.on("SIGTERM", () => process.exit(0));
