import { describe, expect, it } from 'vitest';
import type { NodeDescription } from '../../../../proto/objects/node.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { NodeDescriber } from '../../../../worker/agent/node-describer.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

function described(EngineVersion: string): NodeDescription {
  return {
    Hostname: 'h',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 1, MemoryBytes: 1 },
    Engine: { EngineVersion },
  };
}

/** An engine that answers each question when it is told to. */
class SlowEngine {
  readonly clock = new VirtualClock();
  readonly questions: PromiseWithResolvers<NodeDescription>[] = [];
  changes = 0;
  readonly describer = new NodeDescriber({
    describe: (signal) => {
      const question = Promise.withResolvers<NodeDescription>();
      signal.addEventListener('abort', () => question.reject(signal.reason as Error));
      this.questions.push(question);
      return question.promise;
    },
    onChange: () => this.changes++,
    clock: this.clock,
    log: silentLog,
  });

  async answer(answer: NodeDescription | Error): Promise<void> {
    const last = this.questions.at(-1);
    if (answer instanceof Error) last?.reject(answer);
    else last?.resolve(answer);
    await settle();
  }
}

describe('NodeDescriber', () => {
  it('waits for the engine where nothing is known', async () => {
    const engine = new SlowEngine();
    const current = engine.describer.current(undefined);
    await engine.clock.advance(60_000);
    await engine.answer(described('1'));
    expect(await current).toEqual(described('1'));
    const failing = engine.describer.current(undefined);
    await engine.answer(described('2'));
    expect(await failing).toEqual(described('2'));
    expect(engine.changes).toBe(0);
  });

  it('passes on why the engine cannot be asked where nothing is known', async () => {
    const engine = new SlowEngine();
    const current = engine.describer.current(undefined);
    await Promise.all([expect(current).rejects.toThrow('not there'), engine.answer(new Error('not there'))]);
  });

  it.each([
    { id: 'the same', version: '1', changes: 0 },
    { id: 'something else', version: '2', changes: 1 },
  ])('gives out what was known to whoever cannot wait, and tells when the engine says $id', async (each) => {
    const engine = new SlowEngine();
    const current = engine.describer.current(described('1'));
    await engine.clock.advance(1000);
    expect(await current).toEqual(described('1'));
    await engine.answer(new Error('not there'));
    await engine.clock.advance(1000);
    expect(engine.questions).toHaveLength(2);
    await engine.answer(described(each.version));
    expect(engine.changes).toBe(each.changes);
    const later = engine.describer.current(described('0'));
    await engine.clock.advance(1000);
    expect(await later).toEqual(described(each.version));
    await engine.describer.stop();
  });

  it('asks again every 20 s, and tells once when the engine says something else than what was given out', async () => {
    const engine = new SlowEngine();
    const give = async (version: string): Promise<void> => {
      const current = engine.describer.current(undefined);
      await engine.answer(described(version));
      expect(await current).toEqual(described(version));
    };
    await give('1');
    await engine.clock.advance(19_999);
    expect(engine.questions).toHaveLength(1);
    for (const count of [2, 3]) {
      await engine.clock.advance(20_000);
      expect(engine.questions).toHaveLength(count);
      await engine.answer(described('1'));
    }
    await engine.clock.advance(20_000);
    await engine.answer(new Error('not there'));
    await engine.clock.advance(1000);
    expect(engine.changes).toBe(0);
    await engine.answer(described('2'));
    expect(engine.changes).toBe(1);
    await engine.clock.advance(60_000);
    expect([engine.questions.length, engine.changes]).toEqual([5, 1]);
    await give('2');
    await engine.clock.advance(20_000);
    await engine.answer(described('3'));
    expect(engine.changes).toBe(2);
    await engine.describer.stop();
  });

  it('compares with what was given out last', async () => {
    const engine = new SlowEngine();
    for (const version of ['1', '2']) {
      const current = engine.describer.current(undefined);
      await engine.answer(described(version));
      await current;
    }
    await engine.clock.advance(20_000);
    await engine.answer(described('2'));
    expect([engine.questions.length, engine.changes]).toEqual([3, 0]);
    await engine.describer.stop();
  });

  it('asks once, however many wait, and nothing after it was stopped', async () => {
    const engine = new SlowEngine();
    const both = [engine.describer.current(described('1')), engine.describer.current(described('1'))];
    await engine.clock.advance(1000);
    await Promise.all(both);
    expect(engine.questions).toHaveLength(1);
    await engine.describer.stop();
    await engine.clock.advance(60_000);
    expect(engine.questions).toHaveLength(1);
    expect(engine.changes).toBe(0);
  });
});
