import { execa } from 'execa';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { familySchema, type Sighting } from '../../../proto/objects/diagnosis/path.ts';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';

const CHILD = fileURLToPath(new URL('./watch-child.ts', import.meta.url));
/** From its beginning on, whether or not anybody comes to ask what was seen. */
const LIFE_SECONDS = 20;
const READY_MS = 5_000;
const MAX_WATCHES = 4;

const seenSchema = z.array(
  z.object({
    link: z.string(),
    direction: z.enum(['in', 'out']),
    packet: z.enum(['request', 'reply']),
    family: familySchema,
    tunnelTo: z.string(),
  }),
);

export interface Place {
  place: Sighting['place'];
  /** Path of the network namespace; absent for the daemon's own. */
  namespace?: string;
}

interface Watcher {
  place: Sighting['place'];
  ready: Promise<void>;
  /** Ends it and resolves with what it has seen; with nothing when it failed. */
  finish(): Promise<Sighting[]>;
}

/** Look-outs for the marked packets of traces: one process per namespace, four traces at a time, 20 s each at most. */
export class PacketWatch {
  readonly #clock: Clock;
  readonly #watches = new Map<string, { watchers: Watcher[]; cancel: CancelTimer }>();

  constructor(modules: { clock: Clock }) {
    this.#clock = modules.clock;
  }

  /** Resolves when every place is being looked at. @throws WaggleError resource-exhausted, internal. */
  async begin(marker: string, port: number, places: readonly Place[]): Promise<void> {
    if (this.#watches.size >= MAX_WATCHES) throw new WaggleError('resource-exhausted', 'too many traces at a time');
    if (this.#watches.has(marker)) throw new WaggleError('already-exists', 'a trace with this marker is under way');
    const watchers = places.map((place) => this.#spawn(marker, port, place));
    const cancel = this.#clock.after(LIFE_SECONDS * 1000, () => void this.end(marker));
    this.#watches.set(marker, { watchers, cancel });
    try {
      await Promise.all(watchers.map(({ ready }) => ready));
    } catch (error) {
      await this.end(marker);
      throw error;
    }
  }

  /** What was seen; nothing for a marker that is not, or no longer, looked out for. */
  async end(marker: string): Promise<Sighting[]> {
    const watch = this.#watches.get(marker);
    this.#watches.delete(marker);
    watch?.cancel();
    return (await Promise.all((watch?.watchers ?? []).map((watcher) => watcher.finish()))).flat();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#watches.keys()].map((marker) => this.end(marker)));
  }

  #spawn(marker: string, port: number, { place, namespace }: Place): Watcher {
    const program = [process.execPath, CHILD, marker, String(port), String(LIFE_SECONDS)];
    const [file = '', ...args] = namespace === undefined ? program : ['nsenter', `--net=${namespace}`, ...program];
    const child = execa(file, args, { stdin: 'pipe', reject: false, timeout: (LIFE_SECONDS + 5) * 1000 });
    child.stdin.on('error', () => undefined); // it has ended: its result says why
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    const late = this.#clock.after(READY_MS, () => reject(new WaggleError('internal', `${place} is not looked at`)));
    child.stdout.once('data', () => resolve());
    void child.then((result) => {
      late();
      reject(new WaggleError('internal', `${place} cannot be looked at: ${result.stderr.slice(0, 200)}`));
    });
    return {
      place,
      ready,
      finish: async () => {
        child.stdin.end();
        const { failed, stdout } = await child;
        // One that was ended by force may have been cut short in its words.
        return failed ? [] : readSightings(place, stdout);
      },
    };
  }
}

function readSightings(place: Sighting['place'], stdout: string): Sighting[] {
  const json = stdout.replace(/^ready\n/, '');
  if (json === '') return [];
  return seenSchema.parse(JSON.parse(json)).map((seen) => ({ place, ...seen }));
}
