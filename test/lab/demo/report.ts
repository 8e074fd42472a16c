import { systemClock } from '../../../proto/runtime/clock.ts';
import { messageOf } from '../../../proto/runtime/errors.ts';

interface Outcome {
  title: string;
  failure: string | undefined;
  tookMs: number;
}

/** The demo's voice: numbered steps with what was run and what it showed, and a summary at the end. */
export class Report {
  readonly #write: (text: string) => void;
  readonly #outcomes: Outcome[] = [];

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Runs a step; what it throws is told and remembered, and the demo goes on. */
  async step(title: string, work: () => Promise<void>): Promise<boolean> {
    const began = systemClock.monotonic();
    this.#write(`\n[${this.#outcomes.length + 1}] ${title}\n`);
    let failure: string | undefined;
    try {
      await work();
    } catch (error) {
      failure = messageOf(error);
    }
    const tookMs = systemClock.monotonic() - began;
    this.#outcomes.push({ title, failure, tookMs });
    this.#write(failure === undefined ? `    ok (${seconds(tookMs)})\n` : `    FAILED: ${indent(failure)}\n`);
    return failure === undefined;
  }

  /** A command as a user on that host would type it, and what it printed. */
  command(host: string, line: string, output: string): void {
    this.#write(`    ${host}$ ${line}\n`);
    const text = output.trimEnd();
    if (text !== '') this.#write(`      ${indent(text, '      ')}\n`);
  }

  say(line: string): void {
    this.#write(`    ${line}\n`);
  }

  /** @returns true when every step was as it must be. */
  summary(): boolean {
    const failed = this.#outcomes.filter(({ failure }) => failure !== undefined);
    const total = this.#outcomes.reduce((sum, { tookMs }) => sum + tookMs, 0);
    this.#write(`\n${'-'.repeat(72)}\n`);
    for (const { title, failure, tookMs } of this.#outcomes) {
      this.#write(`${failure === undefined ? 'ok    ' : 'FAILED'}  ${title} (${seconds(tookMs)})\n`);
    }
    const good = this.#outcomes.length - failed.length;
    this.#write(`\n${good} of ${this.#outcomes.length} steps as they must be, ${seconds(total)} in all\n`);
    return failed.length === 0;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function indent(text: string, by = '    '): string {
  return text.split('\n').join(`\n${by}`);
}
