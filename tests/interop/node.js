// A server of Node's that reads each request to its end and says in X-Seen what it took it for.
// Its argument is the path of its socket.
const server = require("node:http").createServer((request, response) => {
  let size = 0;
  request.on("data", (piece) => (size += piece.length));
  request.on("end", () => {
    response.setHeader("X-Seen", `${request.method} ${request.url} ${size}`);
    response.end();
  });
});
server.httpAllowHalfOpen = true; // a client that has said all still gets its answers
server.listen(process.argv[2]);
