import type { waggle } from '../../../proto/gen/gossip.js';
import type { SwimKind, SwimPacket } from '../core/swim-message.ts';
import type { MemberState } from '../members.ts';
import { count, id } from './wire-field.ts';

type WireSwim = waggle.gossip.Swim.$Properties;

/** In the order of their numbers in proto/gossip.proto. */
const KINDS: readonly SwimKind[] = ['news', 'ping', 'ping-request', 'ack', 'nack', 'state', 'state-reply'];
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];

export function swimToWire(packet: SwimPacket): WireSwim {
  return {
    ...packet,
    kind: KINDS.indexOf(packet.kind),
    news: packet.news.map((news) => ({ ...news, state: STATES.indexOf(news.state) })),
  };
}

/** @throws Error when a field is not what it can be. */
export function swimFromWire(wire: WireSwim): SwimPacket {
  const { target } = wire;
  return {
    kind: named(KINDS, wire.kind),
    sequence: count(wire.sequence),
    target: target === undefined || target === null || target === '' ? '' : id(target),
    incarnation: count(wire.incarnation),
    checksum: count(wire.checksum),
    stream: wire.stream === true,
    news: (wire.news ?? []).map((news) => ({
      nodeId: id(news.nodeId),
      state: named(STATES, news.state),
      incarnation: count(news.incarnation),
      accuser: news.accuser === undefined || news.accuser === null || news.accuser === '' ? '' : id(news.accuser),
    })),
  };
}

function named<T>(names: readonly T[], at: number | null | undefined): T {
  const name = names[at ?? 0];
  if (name === undefined) throw new Error('unknown gossip kind');
  return name;
}
