/**
 * node:http, asked of the process: importing it would read each of its exports, and reading the one named WebSocket loads a
 * whole web client, which takes 25 ms.
 */
export const http = process.getBuiltinModule('node:http');
