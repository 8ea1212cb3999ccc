// Serves a folder as Node servers do that were written by hand.
//
// Usage: node paths_node.mjs FOLDER PORT

import { readFile, stat } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';

const [folder, port] = process.argv.slice(2);

http
  .createServer(async (request, response) => {
    try {
      const wanted = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
      let file = path.join(folder, wanted);
      if (!file.startsWith(folder)) throw new Error('outside');
      if ((await stat(file)).isDirectory()) file = path.join(file, 'index.html');
      response.end(await readFile(file));
    } catch {
      response.writeHead(404).end();
    }
  })
  .listen(Number(port), '127.0.0.1');
