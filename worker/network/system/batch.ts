import { execa } from 'execa';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { BatchErrors, type LineFailure } from './batch-errors.ts';

export type { LineFailure } from './batch-errors.ts';

const CHUNK_LINES = 1000;
const ACK_TIMEOUT_MS = 5_000;
const IDLE_MS = 30_000;
const MAX_QUEUED_LINES = 200_000;
const DEATHS_BEFORE_ONE_SHOT = 2;
/** No tool has an object of this name: the error about it marks the end of what was asked before. */
const ACKNOWLEDGE = 'waggle-done';

export interface BatchOptions {
  tool: 'ip' | 'bridge';
  /** Named namespace to work in; the host's own when absent. */
  namespace?: string;
}

interface Chunk {
  lines: readonly string[];
  resolve(failures: LineFailure[]): void;
}

/** A process that is being fed, and the chunk it works on. */
interface Live {
  child: Child;
  errors: BatchErrors;
  chunk: Chunk | undefined;
  cancelTimeout: CancelTimer;
}

/**
 * A long-lived `ip|bridge -force -batch -`. After each chunk comes a line that must fail; since the tool works in
 * order and reports failures with their line number on an unbuffered stream, that failure acknowledges the chunk, and
 * failures before it are told apart by their number. About 0.1 ms a change, against 5 ms for a process each.
 *
 * The tool remembers link indexes by name, so it is replaced after any failure: a link may have been made anew. A
 * process that dies or does not answer in 5 s fails the chunk it had; after two such in a row, single runs take over
 * until one succeeds. One chunk at a time, callers in order; the process ends after 30 s without work.
 */
export class Batch {
  readonly #options: BatchOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  #live: Live | undefined;
  #queue: Chunk[] = [];
  #queuedLines = 0;
  #busy = false;
  #deaths = 0;
  #cancelIdle: CancelTimer | undefined;

  constructor(options: BatchOptions, modules: { clock: Clock; log: Log }) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'worker/system' });
  }

  /**
   * Carries out the lines in order, all of them, whatever fails.
   * @throws WaggleError invalid-argument for a line that would not be one line, resource-exhausted when overrun.
   */
  async run(lines: readonly string[]): Promise<LineFailure[]> {
    for (const line of lines) assertOneLine(line);
    if (this.#queuedLines + lines.length > MAX_QUEUED_LINES) {
      throw new WaggleError('resource-exhausted', `too many kernel operations are waiting (${this.#queuedLines})`);
    }
    const failures: LineFailure[] = [];
    for (let start = 0; start < lines.length; start += CHUNK_LINES) {
      const found = await this.#enqueue(lines.slice(start, start + CHUNK_LINES));
      failures.push(...found.map(({ index, message }) => ({ index: index + start, message })));
    }
    return failures;
  }

  /** Ends the process; chunks under way fail. The next `run` starts another. */
  async close(): Promise<void> {
    this.#cancelIdle?.();
    const live = this.#live;
    if (live === undefined) return;
    this.#live = undefined;
    live.child.stdin.end();
    await live.child.ended;
  }

  #enqueue(lines: readonly string[]): Promise<LineFailure[]> {
    this.#queuedLines += lines.length;
    return new Promise((resolve) => {
      this.#queue.push({ lines, resolve });
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    this.#cancelIdle?.();
    for (let chunk = this.#queue.shift(); chunk !== undefined; chunk = this.#queue.shift()) {
      const failures = await this.#carryOut(chunk.lines);
      this.#queuedLines -= chunk.lines.length;
      chunk.resolve(failures);
    }
    this.#busy = false;
    this.#cancelIdle = this.#clock.after(IDLE_MS, () => void this.close());
  }

  async #carryOut(lines: readonly string[]): Promise<LineFailure[]> {
    if (this.#deaths >= DEATHS_BEFORE_ONE_SHOT) return this.#runOnce(lines);
    const failures = await new Promise<LineFailure[]>((resolve) => this.#feed({ lines, resolve }));
    if (failures.length > 0) await this.close();
    return failures;
  }

  #feed(chunk: Chunk): void {
    const live = this.#live ?? this.#start();
    this.#live = live;
    live.chunk = chunk;
    live.errors.expect(chunk.lines.length);
    live.cancelTimeout = this.#clock.after(ACK_TIMEOUT_MS, () => live.child.kill('SIGKILL'));
    live.child.stdin.write(`${chunk.lines.join('\n')}\n${ACKNOWLEDGE}\n`);
  }

  #start(): Live {
    const child = startChild(this.#options);
    const live: Live = {
      child,
      errors: new BatchErrors(),
      chunk: undefined,
      cancelTimeout: () => undefined,
    };
    child.stdin.on('error', (error) => this.#log.debug({ error: error.message }, 'batch process took no more input'));
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => this.#heard(live, text));
    void child.ended.then((words) => this.#ended(live, words));
    return live;
  }

  #heard(live: Live, text: string): void {
    const failures = live.errors.push(text);
    if (failures === undefined) return;
    this.#deaths = 0;
    this.#answer(live, failures);
  }

  #ended(live: Live, reason: string): void {
    if (this.#live === live) this.#live = undefined;
    const { chunk } = live;
    if (chunk === undefined) return;
    this.#deaths++;
    const words = live.errors.rest() || reason || `${this.#options.tool} ended or did not answer`;
    this.#answer(live, live.errors.unfinished(words));
  }

  #answer(live: Live, failures: LineFailure[]): void {
    live.cancelTimeout();
    const { chunk } = live;
    live.chunk = undefined;
    chunk?.resolve(failures);
  }

  async #runOnce(lines: readonly string[]): Promise<LineFailure[]> {
    const errors = new BatchErrors();
    errors.expect(lines.length);
    const { tool } = this.#options;
    const input = `${lines.join('\n')}\n${ACKNOWLEDGE}\n`;
    const result = await execa(tool, argumentsOf(this.#options), {
      input,
      stdout: 'ignore',
      reject: false,
      timeout: ACK_TIMEOUT_MS,
    });
    const failures = errors.push(`${result.stderr}\n`);
    if (failures === undefined) return errors.unfinished(errors.rest() || result.message || `${tool} failed`);
    this.#deaths = 0;
    return failures;
  }
}

interface Child {
  stdin: NodeJS.WritableStream;
  stderr: NodeJS.ReadableStream;
  kill(signal: NodeJS.Signals): void;
  /** Why it ended; empty when in good order. Never rejects. */
  ended: Promise<string>;
}

function startChild(options: BatchOptions): Child {
  const child = execa(options.tool, argumentsOf(options), {
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
    buffer: false,
    reject: false,
  });
  const ended = child.then((result) => (result.failed ? (result.shortMessage ?? 'failed') : ''), messageOf);
  return { stdin: child.stdin, stderr: child.stderr, kill: (name) => void child.kill(name), ended };
}

function argumentsOf(options: BatchOptions): string[] {
  return [...(options.namespace === undefined ? [] : ['-n', options.namespace]), '-force', '-batch', '-'];
}

/** Words of a line come from other hosts too; a line break in one would be another command. */
function assertOneLine(line: string): void {
  for (let index = 0; index < line.length; index++) {
    const code = line.charCodeAt(index);
    if (code >= 0x20 && code !== 0x7f && code !== 0x5c && code !== 0x22 && code !== 0x27 && code !== 0x23) continue;
    throw new WaggleError('invalid-argument', `not a batch line: ${JSON.stringify(line)}`);
  }
}
