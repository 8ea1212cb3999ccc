// Tells which file it would serve, by the rules with which Express finds a handler.
//
// Usage: node paths_express.mjs FOLDER PORT
// Express is looked for in the working directory's node_modules.

import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const express = require('express');
const [folder, port] = process.argv.slice(2);

const app = express();
app.use(express.static(folder));
app.use('/public/closed', (_, response) => response.send('served:public/closed/handler;'));
app.use('/public', (_, response) => response.send('served:public/handler;'));
app.use('/private', (_, response) => response.send('served:private/handler;'));
app.listen(Number(port), '127.0.0.1');
