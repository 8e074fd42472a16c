import { isDeepStrictEqual } from 'node:util';
import type { NodeDescription } from '../../proto/objects/node.ts';
import { backoffDelayMs } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';

/** An engine that is well answers in a few milliseconds. */
const WAIT_MS = 1000;
/** How soon it is noticed that the engine has other labels, plugins or resources, or is another version (swarmkit agent/agent.go). */
const PERIOD_MS = 20_000;
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
 * What this node is, by its engine, which is asked again as long as anybody relies on what it said. An engine that starts answers
 * nobody until its containers are up, and these may need an address, which only a manager gives: so where a description is known, of
 * an earlier life too, it is given out until the engine answers.
 */
export class NodeDescriber {
  readonly #modules: NodeDescriberModules;
  readonly #abort = new AbortController();
  #last: NodeDescription | undefined;
  #asking: Promise<NodeDescription> | undefined;
  /** Ends the following of what was given out before. */
  #given = new AbortController();
  #following: Promise<void> | undefined;

  constructor(modules: NodeDescriberModules) {
    this.#modules = modules;
  }

  /**
   * From now on, and until it is called again, a description that differs from this one is told.
   * @param former of an earlier life. @throws what the engine's call does where no description is known.
   */
  async current(former: NodeDescription | undefined): Promise<NodeDescription> {
    const known = this.#last ?? former;
    const answer = known === undefined ? await this.#ask() : await this.#askBriefly();
    if (answer !== undefined) return this.#give(answer, PERIOD_MS);
    this.#modules.log.info({}, 'the engine does not describe this node yet, its former description is used');
    return this.#give(known as NodeDescription, 0);
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the agent stops'));
    await this.#following;
  }

  #give(description: NodeDescription, recheckMs: number): NodeDescription {
    this.#given.abort();
    this.#given = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, this.#given.signal]);
    this.#following = Promise.all([this.#following, this.#follow(description, recheckMs, signal)]).then(
      () => undefined,
    );
    return description;
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

  async #follow(given: NodeDescription, recheckMs: number, signal: AbortSignal): Promise<void> {
    const { clock, log, onChange } = this.#modules;
    let delayMs = recheckMs;
    for (let failures = 0; ; ) {
      await sleep(clock, delayMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const isSame = isDeepStrictEqual(await this.#ask(), given);
        if (!isSame && !signal.aborted) onChange();
        if (!isSame) return;
        [failures, delayMs] = [0, PERIOD_MS];
      } catch (error) {
        delayMs = backoffDelayMs(BACKOFF, ++failures, 0);
        log.debug({ error: messageOf(error), failures }, 'the engine does not describe this node, asked again');
      }
    }
  }
}
