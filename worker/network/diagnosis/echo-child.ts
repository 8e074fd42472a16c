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
const WAIT_MS = 1_000;

const [address = '', markerHex = '', size = ''] = process.argv.slice(2);
const family = familyOf(address);
const marker = Buffer.from(markerHex, 'hex');
const answer: ProbeAnswer = { sent: 0, received: 0, rttMs: 0, error: '', pathMtu: 0 };

async function one(socket: EchoSocket, sequence: number): Promise<void> {
  const sentAt = systemClock.monotonic();
  socket.send(echoRequest(marker, sequence, Number(size), family));
  answer.sent++;
  while (systemClock.monotonic() - sentAt < WAIT_MS) {
    const packet = await socket.next();
    if (packet === undefined || !isEchoReply(packet, marker, sequence, family)) continue;
    const took = systemClock.monotonic() - sentAt;
    answer.received++;
    answer.rttMs = answer.rttMs === 0 ? took : Math.min(answer.rttMs, took);
    return;
  }
}

try {
  const socket = new EchoSocket(address, WAIT_MS);
  for (let sequence = 1; sequence <= REQUESTS && answer.received < REPLIES_ENOUGH; sequence++) {
    await one(socket, sequence).catch((error: unknown) => {
      answer.error = messageOf(error);
    });
  }
  answer.pathMtu = socket.pathMtu();
} catch (error) {
  answer.error = messageOf(error);
}
process.stdout.write(JSON.stringify(answer));
process.exit(0);
