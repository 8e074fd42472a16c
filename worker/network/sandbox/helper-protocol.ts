import { z } from 'zod';

/** What the daemon asks of the helper process. */
export type HelperRequest =
  /** Set the sandbox up as soon as it is there; answered by `watching` at once, by `socket` three times when done. */
  | { type: 'want'; key: string }
  /** Stop watching, and take the redirect away if the namespace is still there; answered by `dropped`. */
  | { type: 'drop'; key: string }
  | { type: 'check'; key: string }
  /** A connection to Docker's resolver in the sandbox; answered by `connection` with the handle, or `failed`. */
  | { type: 'connect'; key: string; id: number };

/** In the order in which they are handed over: when the last one arrives, queries can be answered. */
export const SOCKET_ROLES = ['forward', 'tcp', 'udp'] as const;
export type SocketRole = (typeof SOCKET_ROLES)[number];

const key = z.string();

/** What the helper answers; `socket`, `connection` and `early-connection` carry a handle. */
export const helperReply = z.discriminatedUnion('type', [
  z.object({ type: z.literal('started') }),
  z.object({ type: z.literal('watching'), key, present: z.boolean() }),
  /** One of the three sockets of set-up number `setup`. */
  z.object({
    type: z.literal('socket'),
    key,
    setup: z.number(),
    role: z.enum(SOCKET_ROLES),
    port: z.number(),
    inode: z.number(),
    /** From the first sight of the namespace to the installed redirect. */
    tookMs: z.number(),
  }),
  /** A query that came while the socket was still on its way. */
  z.object({
    type: z.literal('early-query'),
    key,
    setup: z.number(),
    base64: z.string(),
    address: z.string(),
    port: z.number(),
  }),
  z.object({ type: z.literal('early-connection'), key, setup: z.number() }),
  /** Not there after 60 s, or setting up failed; `want` again. */
  z.object({ type: z.literal('failed'), key, id: z.number().optional(), error: z.string() }),
  z.object({ type: z.literal('dropped'), key }),
  /** `inode` 0: there is no namespace; `port` 0: the redirect is not (wholly) there. */
  z.object({ type: z.literal('checked'), key, inode: z.number(), port: z.number() }),
  z.object({ type: z.literal('connection'), key, id: z.number() }),
]);
export type HelperReply = z.infer<typeof helperReply>;
