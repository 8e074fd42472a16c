import { pino } from 'pino';

/**
 * Structured logs. Policy: `error` = someone must act, the text says on what; `warn` = a promise is broken for
 * now and being retried; `info` = state changes an operator would want in a timeline; `debug` = every RPC,
 * retry and kernel operation. The message is constant, the facts are fields. Never a secret, a token or
 * unparsed bytes of a peer.
 */
export interface Log {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  child(fields: { module: string }): Log;
}

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on standard error. */
export function createLog(level: LogLevel): Log {
  return pino({ level, base: null }, pino.destination({ fd: 2, sync: true })) as Log;
}

export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLog,
};
