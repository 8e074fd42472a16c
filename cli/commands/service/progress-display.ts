import type { Context } from '../../context.ts';
import type { Progress } from './progress.ts';

const BAR_WIDTH = 50;
const MAX_SLOTS = 20;
const STEPS = ['new', 'pending', 'assigned', 'accepted', 'preparing', 'ready', 'starting', 'running'];

/** The progress of a service: redrawn in place on a terminal, a line per change elsewhere. */
export class ProgressDisplay {
  readonly #context: Context;
  readonly #quiet: boolean;
  #drawn = 0;
  #last = '';
  #printed: readonly string[] = [];

  constructor(context: Context, quiet: boolean) {
    this.#context = context;
    this.#quiet = quiet;
  }

  show(progress: Progress, remainingMs: number | undefined, rollingBack: boolean): void {
    if (this.#quiet) return;
    const running = progress.slots.filter(({ task }) => task?.Status.State === 'running').length;
    const lines = [
      `overall progress: ${rollingBack ? 'rolling back update: ' : ''}${running} out of ${progress.wanted} tasks`,
    ];
    if (progress.slots.length <= MAX_SLOTS) lines.push(...progress.slots.map(slotLine));
    if (remainingMs !== undefined && remainingMs > 0) {
      lines.push(`verify: Waiting ${Math.ceil(remainingMs / 1000)} seconds to verify that tasks are stable...`);
    }
    this.#draw(lines);
  }

  finish(line: string): void {
    if (this.#quiet) return;
    if (this.#context.interactive) this.#context.write('\x1b[1A\x1b[2K');
    this.#context.print(line);
  }

  #draw(lines: readonly string[]): void {
    const text = lines.join('\n');
    if (text === this.#last) return;
    this.#last = text;
    if (!this.#context.interactive) {
      // What each place shows may come again later (a task fails and is replaced), so only the last time counts.
      const told = lines.filter((line) => line.startsWith('overall') || line.startsWith('verify'));
      for (const line of told.filter((each) => !this.#printed.includes(each))) this.#context.print(line);
      this.#printed = told;
      return;
    }
    if (this.#drawn > 0) this.#context.write(`\x1b[${this.#drawn}A`);
    for (const line of lines) this.#context.write(`\x1b[2K${line}\n`);
    this.#context.write('\x1b[J');
    this.#drawn = lines.length;
  }
}

function slotLine({ name, task }: Progress['slots'][number]): string {
  if (task === undefined) return `${name}:  `;
  const { State, Err } = task.Status;
  if (Err !== undefined && Err !== '') return `${name}: ${Err}`;
  const step = STEPS.indexOf(State) + 1;
  const filled = Math.max(1, Math.round((BAR_WIDTH * step) / STEPS.length));
  const bar = `${'='.repeat(filled - 1)}>${' '.repeat(BAR_WIDTH - filled)}`;
  return `${name}: ${State.padEnd(10)} [${bar}]`;
}
