// Node's own http module, no framework. Argument: PORT.
"use strict";
const http = require("node:http");

const hello = "Hello, World!";
const bigBody = Buffer.alloc(10240, "x");

function sayHello(request, response) {
  response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 13 });
  response.end(hello);
}

function showUser(request, response) {
  const body = JSON.stringify({
    id: Number(request.url.slice("/users/".length)),
    agent: request.headers["user-agent"] ?? "",
  });
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

function sendBigBody(request, response) {
  response.writeHead(200, {
    "Content-Type": "application/octet-stream",
    "Content-Length": bigBody.length,
  });
  response.end(bigBody);
}

function echo(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    response.writeHead(200, {
      "Content-Type": "application/octet-stream",
      "Content-Length": body.length,
    });
    response.end(body);
  });
}

const handlers = new Map([
  ["/", sayHello],
  ["/plain", sayHello],
  ["/body", sendBigBody],
  ["/echo", echo],
]);

http
  .createServer((request, response) => (handlers.get(request.url) ?? showUser)(request, response))
  .listen(Number(process.argv[2]), "127.0.0.1");
