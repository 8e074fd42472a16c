import { isDeepStrictEqual } from 'node:util';
import type { NodeDescription } from '../../proto/objects/node.ts';
import { backoffDelayMs } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';

/** An engine that is well answers in a few milliseconds. */
const WAIT_MS = 1000;
const BACKOFF = { minMs: 1000, maxMs: 10_000, factor: 2, jitter: 0 };

export interface NodeDescriberModules {
  /** Asks the engine. */
  describe: (signal: AbortSignal) => Promise<NodeDescription>;
  /** The engine says otherwise than what was given out for it. */
  onChange: () => void;
  clock: Clock;
  log: Log;
}

/**
 * What this node is, by its engine. An engine that starts answers nobody until its containers are up, and these may need an address,
 * which only a manager gives: so where a description is known, of an earlier life too, it is given out until the engine answers.
 */
export class NodeDescriber {
  readonly #modules: NodeDescriberModules;
  readonly #abort = new AbortController();
  #last: NodeDescription | undefined;
  #asking: Promise<NodeDescription> | undefined;
  #following: Promise<void> | undefined;

  constructor(modules: NodeDescriberModules) {
    this.#modules = modules;
  }

  /** @param former of an earlier life. @throws what the engine's call does where no description is known. */
  async current(former: NodeDescription | undefined): Promise<NodeDescription> {
    const known = this.#last ?? former;
    if (known === undefined) return await this.#ask();
    const answer = await this.#askBriefly();
    if (answer !== undefined) return answer;
    this.#modules.log.info({}, 'the engine does not describe this node yet, its former description is used');
    this.#following ??= this.#follow(known).finally(() => {
      this.#following = undefined;
    });
    return known;
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the agent stops'));
    await this.#following;
  }

  /** One question at a time, whoever waits for it. */
  #ask(): Promise<NodeDescription> {
    this.#asking ??= this.#modules
      .describe(this.#abort.signal)
      .then((description) => {
        this.#last = description;
        return description;
      })
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  async #askBriefly(): Promise<NodeDescription | undefined> {
    const answered = new AbortController();
    const late = sleep(this.#modules.clock, WAIT_MS, answered.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      return await Promise.race([this.#ask().catch(() => undefined), late]);
    } finally {
      answered.abort();
    }
  }

  async #follow(given: NodeDescription): Promise<void> {
    const { clock, log, onChange } = this.#modules;
    const { signal } = this.#abort;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        if (!isDeepStrictEqual(await this.#ask(), given)) onChange();
        return;
      } catch (error) {
        log.debug({ error: messageOf(error), failures }, 'the engine does not describe this node, asked again');
        await sleep(clock, backoffDelayMs(BACKOFF, failures, 0), signal).catch(() => undefined);
      }
    }
  }
}
