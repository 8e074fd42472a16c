/**
 * Looks out for marked echo messages on all links of the namespace that it is started in, from when it has said `ready` until its
 * standard input ends, and then prints what it has seen. Arguments: marker in hex, the tunnel's UDP port, seconds it lives at most.
 */
import { systemClock } from '../../../proto/runtime/clock.ts';
import type { Sighting } from '../../../proto/objects/diagnosis/path.ts';
import { echoFilter, readFrame } from './echo-packet.ts';
import { PacketListener } from '../system/raw-socket.ts';

const WAIT_MS = 100;
const MAX_SIGHTINGS = 1_000;

const [markerHex = '', port = '', seconds = ''] = process.argv.slice(2);
const marker = Buffer.from(markerHex, 'hex');
const until = systemClock.monotonic() + Number(seconds) * 1000;
const listener = new PacketListener(echoFilter(Number(port)), WAIT_MS);
const seen = new Map<string, Omit<Sighting, 'place'>>();
let ended = false;

process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
process.stdout.write('ready\n');
while (systemClock.monotonic() < until && seen.size < MAX_SIGHTINGS) {
  const last = ended;
  const frame = await listener.next();
  // What came before the end is in the socket: it is read to its last frame.
  if (frame === undefined && last) break;
  const found = frame === undefined ? undefined : readFrame(frame.bytes, marker, Number(port));
  if (frame === undefined || found === undefined) continue;
  const sighting = { link: frame.link, direction: frame.outgoing ? ('out' as const) : ('in' as const), ...found };
  seen.set(JSON.stringify(sighting), sighting);
}
process.stdout.write(JSON.stringify([...seen.values()]));
process.exit(0);
