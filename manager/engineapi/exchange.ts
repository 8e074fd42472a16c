import type { IncomingMessage, ServerResponse } from 'node:http';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { BodyTooLarge, EngineAnswer, errorReply } from './errors.ts';
import { type BodyType, withFieldNames } from './field-names.ts';
import { syntaxMessage } from './filters.ts';
import { assertBounded } from './json-bounds.ts';

/** A request's address, taken apart. */
export interface RequestTarget {
  /** `/v1.41`, or empty. */
  prefix: string;
  version: string | undefined;
  /** Without prefix and query, still percent-encoded. */
  path: string;
  query: URLSearchParams;
  /** With the question mark, exactly as given; empty when there is none. */
  search: string;
}

/** One request to one of our own routes. */
export interface Exchange {
  req: IncomingMessage;
  res: ServerResponse;
  target: RequestTarget;
  /** Variable parts of the path, decoded. */
  params: Readonly<Record<string, string | undefined>>;
  /** Aborted when the client goes away before it has its answer. */
  signal: AbortSignal;
}

export type Handler = (exchange: Exchange) => Promise<void>;

export interface Route {
  method: 'GET' | 'HEAD' | 'POST' | 'DELETE';
  /** find-my-way pattern, without version prefix. */
  path: string;
  handle: Handler;
}

/** Secrets are at most 500 KiB and configs 1000 KiB, in base64; nothing else comes near. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

const VERSIONED = /^(\/v(\d[\d.]*))(\/.*)$/;

/** Takes a request's URL apart, whether it names the server or not. */
export function parseTarget(url: string): RequestTarget {
  const local = url.startsWith('/') ? url : url.replace(/^[a-z]+:\/\/[^/]*/i, '');
  const mark = local.indexOf('?');
  const full = mark < 0 ? local : local.slice(0, mark);
  const search = mark < 0 ? '' : local.slice(mark);
  const match = VERSIONED.exec(full);
  return {
    prefix: match?.[1] ?? '',
    version: match?.[2],
    path: match?.[3] ?? full,
    query: new URLSearchParams(search),
    search,
  };
}

/** A variable part of the path that the route's pattern guarantees. */
export function paramOf(exchange: Exchange, name: string): string {
  const value = exchange.params[name];
  if (value === undefined) throw new WaggleError('not-found', 'page not found');
  return value;
}

/** @throws BodyTooLarge; the rest of the body is discarded. */
export async function readBody(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const take = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else reject(new BodyTooLarge());
  };
  // Not the stream's own iterator: for a body of one chunk it costs more than all the rest.
  req.on('data', take).once('end', resolve).once('error', reject);
  req.once('close', () => {
    if (!req.complete) reject(new Error('aborted'));
  });
  await promise;
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/**
 * The body as a JSON object; `null` counts as an empty one and a field's name may have any case, as for Go. The
 * Content-Type is not looked at: engines up to 20.10 do not, and clients rely on it.
 * @throws WaggleError invalid-argument with Docker's texts, BodyTooLarge.
 */
export async function readJson<T extends object>(req: IncomingMessage, type: BodyType): Promise<T> {
  return parseJson<T>(await readBody(req), type);
}

/** @throws WaggleError invalid-argument. */
export function parseJson<T extends object>(body: Buffer, type: BodyType): T {
  const text = body.toString('utf8');
  if (text.trim() === '') throw new WaggleError('invalid-argument', 'got EOF while reading request body');
  assertBounded(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WaggleError('invalid-argument', syntaxMessage(text));
  }
  if (value === null) return {} as T;
  if (typeof value === 'object' && !Array.isArray(value)) return withFieldNames(value, type) as T;
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  throw new WaggleError('invalid-argument', `json: cannot unmarshal ${kind} into Go value of type ${type}`);
}

/** As `send`, of anything that JSON can say. */
export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  // A text leaves in one piece with the head.
  send(res, status, 'application/json', `${JSON.stringify(value)}\n`);
}

/** An answer without a body. */
export function sendEmpty(res: ServerResponse, status: number): void {
  if (res.headersSent || res.destroyed) return;
  if (status !== 204) res.setHeader('Content-Length', 0);
  res.writeHead(status).end();
}

/** Nothing when an answer has begun, or nobody is there any more. */
export function send(res: ServerResponse, status: number, contentType: string, body: Buffer | string): void {
  if (res.headersSent || res.destroyed) return;
  res.setHeader('Content-Type', contentType);
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.writeHead(status).end(body);
}

/** Answers with what was thrown; an answer already under way is cut off, so that it cannot pass for a whole one. */
export function sendError(res: ServerResponse, thrown: unknown): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  if (thrown instanceof EngineAnswer) {
    send(res, thrown.status, thrown.contentType, thrown.body);
    return;
  }
  const { status, message } = errorReply(thrown);
  sendJson(res, status, { message });
}
