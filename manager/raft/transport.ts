import type { RaftId } from './core/entry.ts';
import type { Message } from './core/message.ts';

/** What members say to each other. Messages may be lost, repeated, delayed and reordered; a snapshot arrives whole or not at all. */
export interface RaftTransport {
  /** Never blocks: a full queue drops its oldest messages, as a bad line would. Unknown members are dropped. */
  send(messages: readonly Message[]): void;
  /** Streams the state beside its `snapshot` message. @throws when it did not arrive. */
  sendSnapshot(message: Message & { type: 'snapshot' }, chunks: Iterable<Uint8Array>): Promise<void>;
  /** The members and how to reach them, as last applied. */
  setMembers(members: ReadonlyMap<RaftId, string>): void;
}

/** What a transport delivers to. */
export interface RaftReceiver {
  /** Messages to another one are not for it. */
  readonly id: RaftId;
  receive(message: Message): void;
  /**
   * Takes the state as fast as the disk does; resolves when it is on the disk, whatever Raft makes of it.
   * @throws what `chunks` throws, and WaggleError invalid-argument for a state that cannot be read; then nothing has changed.
   */
  receiveSnapshot(message: Message & { type: 'snapshot' }, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** A member could not be reached just now. */
  unreachable(id: RaftId): void;
}
