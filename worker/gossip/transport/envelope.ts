import type { Message } from '../core/message.ts';
import type { SwimPacket } from '../core/swim-message.ts';

/** What nodes tell each other. */
export type Content = { swim: SwimPacket } | { table: Message };

/** Content with who says it, and the number that makes a repetition visible. */
export interface Envelope {
  /** Node ID. */
  from: string;
  /** Random at the start of the sender, 48 bits. */
  session: number;
  /** From 1, for each receiver, and for datagrams and streams apart. */
  counter: number;
  content: Content;
}
