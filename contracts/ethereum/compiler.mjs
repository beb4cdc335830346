// A compiler that stays warm, for mutate.mjs: what forge asks of a solc comes over a socket, one
// question for each connection. Its first answer takes three times as long as the others.
import { createServer } from "node:net";
import solc from "solc";

const [socket] = process.argv.slice(2);
const server = createServer({ allowHalfOpen: true }, (connection) => {
  const parts = [];
  connection.on("data", (part) => parts.push(part));
  connection.on("end", () => connection.end(solc.compile(Buffer.concat(parts).toString())));
  connection.on("error", () => {});
});
server.listen(socket, () => process.send("ready"));
// It ends with whoever started it.
process.on("disconnect", () => process.exit());
