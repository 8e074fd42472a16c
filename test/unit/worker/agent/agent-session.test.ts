import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { waggle } from '../../../../proto/gen/dispatcher.js';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { AgentSession, type AgentSessionModules } from '../../../../worker/agent/agent-session.ts';
import { NODE_REGISTRATION } from '../../../fixtures/node-registration.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

const { SessionMessage } = waggle.dispatcher;

class FakeStream extends Readable {
  constructor() {
    super({ objectMode: true, read: () => undefined });
  }
  cancel(): void {
    this.destroy();
  }
}

/** The manager's end of the connection: counts heartbeats and answers them while it lives. */
class FakeManager {
  lives = true;
  heartbeats = 0;
  readonly facts = new FakeStream();
  readonly dispatcher = {
    getChannel: () => ({ getTarget: () => 'dns:m:2377' }),
    session: () => this.facts,
    assignments: () => new FakeStream(),
    heartbeat: (...args: unknown[]) => this.#answer(args.at(-1) as (error: unknown, response?: object) => void),
  };

  #answer(callback: (error: unknown, response?: object) => void): { cancel: () => void } {
    this.heartbeats++;
    if (this.lives) callback(null, { periodMs: 5_000 });
    return { cancel: () => callback(new Error('cancelled')) };
  }
}

describe('AgentSession', () => {
  let clock: VirtualClock;
  let manager: FakeManager;
  let session: AgentSession;
  let ended: Promise<string>;
  let facts: number;

  beforeEach(() => {
    clock = new VirtualClock();
    manager = new FakeManager();
    facts = 0;
  });

  async function begin(isDoubtful = false): Promise<void> {
    const modules = {
      connection: { address: 'm:2377', dispatcher: manager.dispatcher },
      tasks: { replace: () => undefined, apply: () => undefined },
      reporter: { serve: () => new Promise(() => undefined) },
      onRedirect: () => undefined,
      onFacts: () => {
        facts++;
      },
      clock,
      log: silentLog,
    } as unknown as AgentSessionModules;
    modules.reporter.serve = (_send, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    session = new AgentSession({ registration: NODE_REGISTRATION, isDoubtful }, modules);
    ended = session.run(new AbortController().signal).catch((error: Error) => error.message);
    await settle();
  }
  async function establish(): Promise<void> {
    manager.facts.push(
      SessionMessage.create({ sessionId: 's', nodeJson: Buffer.from('{}'), clusterJson: Buffer.from('{}') }),
    );
    await settle();
    expect(session.established).toBe(true);
    expect(manager.heartbeats).toBe(1);
  }

  it('answers a challenge with a heartbeat at once, and takes it for nothing else', async () => {
    await begin();
    await establish();
    manager.facts.push(SessionMessage.create({ sessionId: 's', challenge: true }));
    await settle();
    expect({ heartbeats: manager.heartbeats, facts }).toEqual({ heartbeats: 2, facts: 1 });
  });

  it('keeps a manager that answers when gossip misses it', async () => {
    await begin();
    await establish();
    session.doubt();
    await clock.advance(4_000);
    expect(manager.heartbeats).toBe(2);
    expect(session.established).toBe(true);
    await clock.advance(1_000);
    expect(manager.heartbeats).toBe(3);
  });

  it('leaves a manager that does not answer within a second', async () => {
    await begin();
    await establish();
    manager.lives = false;
    session.doubt();
    session.doubt();
    await clock.advance(999);
    expect(manager.heartbeats).toBe(2);
    await clock.advance(1);
    expect(await ended).toBe('no answer from m:2377 within 1000 ms');
  });

  it('does not wait for the answer to a challenge before it doubts', async () => {
    await begin();
    await establish();
    manager.lives = false;
    manager.facts.push(SessionMessage.create({ sessionId: 's', challenge: true }));
    await settle();
    session.doubt();
    await clock.advance(1_000);
    expect(await ended).toBe('no answer from m:2377 within 1000 ms');
  });

  it.each([
    { isDoubtful: false, ms: 5_000 },
    { isDoubtful: true, ms: 2_000 },
  ])('waits $ms ms for the first message when it is doubtful: $isDoubtful', async ({ isDoubtful, ms }) => {
    await begin(isDoubtful);
    await clock.advance(ms);
    expect(await ended).toBe(`no session within ${ms} ms`);
  });
});
