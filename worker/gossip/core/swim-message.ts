import type { MemberState } from '../members.ts';

/** What is said of one member. */
export interface MemberNews {
  nodeId: string;
  state: MemberState;
  /** Given by the member alone; it objects to what is said of it with a greater one (SWIM 4.2). */
  incarnation: number;
  /** Node ID of the one who suspects it; '' with every other state. */
  accuser: string;
}

/**
 * ping: answer with ack. ping-request: ping `target`, then answer with ack, or with nack when it is silent. news: nothing but
 * news. state and state-reply: all that the sender knows, over TCP; a state wants a state-reply.
 */
export type SwimKind = 'ping' | 'ping-request' | 'ack' | 'nack' | 'news' | 'state' | 'state-reply';

/** Every packet tells the sender's incarnation and so that it is alive, and a checksum of what it knows of all. */
export interface SwimPacket {
  kind: SwimKind;
  /** Of the probe; 0 in what belongs to none. */
  sequence: number;
  /** Node ID; '' in everything but ping-request. */
  target: string;
  incarnation: number;
  checksum: number;
  /** It travels over TCP, and so shall the answer. */
  stream: boolean;
  news: readonly MemberNews[];
}

export interface Address {
  host: string;
  port: number;
}

export interface SwimSend extends Address {
  packet: SwimPacket;
}

/** What the caller owes after an input; the state is already changed. */
export interface SwimEffects {
  sends: SwimSend[];
  /** Members whose state changed, or that came or went. */
  changed: Set<string>;
}

/** What one piece of news takes in a packet, never less than it really takes. */
export function newsSizeBytes(news: MemberNews): number {
  return 20 + news.nodeId.length + news.accuser.length;
}
