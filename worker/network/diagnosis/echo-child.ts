/**
 * Sends echo requests from the namespace that it is started in and prints what came of them. Arguments: address, marker in
 * hex, size of the whole packet in bytes.
 */
import { familyOf, type ProbeAnswer } from '../../../proto/objects/diagnosis/path.ts';
import { systemClock } from '../../../proto/runtime/clock.ts';
import { messageOf } from '../../../proto/runtime/errors.ts';
import { echoRequest, isEchoReply } from './echo-packet.ts';
import { EchoSocket } from '../system/raw-socket.ts';

const REQUESTS = 3;
const REPLIES_ENOUGH = 2;
/** For the answer to the last request, and before that until the next one is sent: a broken way is to be told soon. */
const WAIT_MS = 1_000;
const NEXT_MS = 300;
const LISTEN_MS = 50;

const [address = '', markerHex = '', size = ''] = process.argv.slice(2);
const family = familyOf(address);
const marker = Buffer.from(markerHex, 'hex');
const answer: ProbeAnswer = { sent: 0, received: 0, rttMs: 0, error: '', pathMtu: 0 };

/** Requests that have no answer yet, and when each was sent. */
const sentAt = new Map<number, number>();

/** One after the other; an answer may also come when the next request is out. */
async function converse(socket: EchoSocket): Promise<void> {
  for (let sequence = 1; sequence <= REQUESTS && answer.received < REPLIES_ENOUGH; sequence++) {
    try {
      socket.send(echoRequest(marker, sequence, Number(size), family));
      sentAt.set(sequence, systemClock.monotonic());
      answer.sent++;
      await listen(socket, sequence === REQUESTS ? WAIT_MS : NEXT_MS);
    } catch (error) {
      answer.error = messageOf(error);
    }
  }
}

/** Until a request is answered, or the time is over. */
async function listen(socket: EchoSocket, forMs: number): Promise<void> {
  const until = systemClock.monotonic() + forMs;
  while (systemClock.monotonic() < until) {
    const packet = await socket.next();
    if (packet !== undefined && isAnswer(packet)) return;
  }
}

function isAnswer(packet: Buffer): boolean {
  const found = [...sentAt].find(([sequence]) => isEchoReply(packet, marker, sequence, family));
  if (found === undefined) return false;
  const took = systemClock.monotonic() - found[1];
  sentAt.delete(found[0]);
  answer.received++;
  answer.rttMs = answer.rttMs === 0 ? took : Math.min(answer.rttMs, took);
  return true;
}

try {
  const socket = new EchoSocket(address, LISTEN_MS);
  await converse(socket);
  answer.pathMtu = socket.pathMtu();
} catch (error) {
  answer.error = messageOf(error);
}
process.stdout.write(JSON.stringify(answer));
process.exit(0);
