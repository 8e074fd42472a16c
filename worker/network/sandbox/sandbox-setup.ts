import { closeSync } from 'node:fs';
import {
  inNamespace,
  localPort,
  namespaceInode,
  netfilterExchange,
  raiseLoopback,
  SystemCallError,
  tcpConnection,
  tcpListener,
  udpSocket,
} from './namespace-calls.ts';
import {
  DNS_PORT,
  FORWARD_MARK,
  installBatch,
  type NetlinkReply,
  parseReplies,
  RESOLVER_ADDRESS,
  removeBatch,
  rulesRequest,
} from './redirect-ruleset.ts';

/** File descriptors in the sandbox; the caller owns them. */
export interface SandboxSockets {
  /** Queries, UDP and TCP, arrive here at the same port. */
  udp: number;
  tcp: number;
  /** Asks Docker's resolver. */
  forward: number;
  port: number;
  inode: number;
}

const EADDRINUSE = 98;
const EEXIST = 17;
const ENOENT = 2;
const RULES = 2;
const PORT_TRIES = 8;

/**
 * Opens the sockets and installs the redirect in the sandbox. A port that an earlier process left in the rule is taken
 * again: conntrack goes on sending a client's retry to the port that its first try was sent to.
 */
export function setUpSandbox(path: string): SandboxSockets {
  return inNamespace(path, () => {
    const inode = namespaceInode(path) ?? 0;
    raiseLoopback();
    const installed = installedPort();
    const { udp, tcp, port } = openPair(installed);
    try {
      const forward = udpSocket('127.0.0.1', 0, FORWARD_MARK);
      try {
        if (port !== installed) install(port);
        return { udp, tcp, forward, port, inode };
      } catch (error) {
        closeSync(forward);
        throw error;
      }
    } catch (error) {
      closeSync(udp);
      closeSync(tcp);
      throw error;
    }
  });
}

/** Port to which both rules send queries; 0 when a rule is missing or not ours. */
export function redirectedPort(path: string): number {
  return inNamespace(path, installedPort);
}

/** Takes the redirect away: queries go to Docker's resolver again. No redirect is no error. */
export function tearDownSandbox(path: string): void {
  inNamespace(path, () => transact(removeBatch(1)));
}

/** A connection to Docker's resolver, from inside. */
export function connectToEngineResolver(path: string): number {
  return inNamespace(path, () => tcpConnection(RESOLVER_ADDRESS, DNS_PORT, FORWARD_MARK));
}

function installedPort(): number {
  const ports: number[] = [];
  netfilterExchange(rulesRequest(1), (answer) =>
    parseReplies(answer).some((reply) => {
      if (reply.kind === 'rule') ports.push(reply.port);
      if (reply.kind === 'error' && reply.errno !== 0 && reply.errno !== ENOENT) throw failure(reply);
      return reply.kind !== 'rule';
    }),
  );
  return ports.length === RULES && ports[0] === ports[1] ? (ports[0] ?? 0) : 0;
}

function install(port: number): void {
  try {
    transact(installBatch(port, false, 1));
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.errno !== EEXIST) throw error;
    transact(installBatch(port, true, 1));
  }
}

function transact(batch: { bytes: Buffer; last: number }): void {
  netfilterExchange(batch.bytes, (answer) =>
    parseReplies(answer).some((reply) => {
      if (reply.kind === 'error' && reply.errno !== 0) throw failure(reply);
      return reply.kind === 'error' && reply.sequence === batch.last;
    }),
  );
}

function failure(reply: NetlinkReply & { kind: 'error' }): SystemCallError {
  return new SystemCallError(`nftables message ${reply.sequence}`, reply.errno);
}

/** UDP and TCP on one port: the wanted one if it is free, else any. */
function openPair(wanted: number): { udp: number; tcp: number; port: number } {
  for (let tries = 0; ; tries++) {
    const pair = tryPair(tries === 0 ? wanted : 0);
    if (pair !== undefined) return pair;
    if (tries >= PORT_TRIES) throw new SystemCallError('bind', EADDRINUSE);
  }
}

function tryPair(wanted: number): { udp: number; tcp: number; port: number } | undefined {
  let udp: number | undefined;
  try {
    udp = udpSocket(RESOLVER_ADDRESS, wanted, 0);
    const port = localPort(udp);
    return { udp, tcp: tcpListener(RESOLVER_ADDRESS, port), port };
  } catch (error) {
    if (udp !== undefined) closeSync(udp);
    if (error instanceof SystemCallError && error.errno === EADDRINUSE) return undefined;
    throw error;
  }
}
