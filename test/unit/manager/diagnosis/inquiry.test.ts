import { beforeEach, describe, expect, it } from 'vitest';
import { Inquiry } from '../../../../manager/diagnosis/inquiry.ts';
import type { waggle } from '../../../../proto/gen/diagnosis.js';
import type { Caller } from '../../../../proto/rpc/caller.ts';
import { packJson } from '../../../../proto/rpc/json-gzip.ts';
import { messageOf } from '../../../../proto/runtime/errors.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

type Question = waggle.diagnosis.Question;

const QUESTION = { kind: 'endpoints' } as const;

let clock: VirtualClock;
let inquiry: Inquiry;

beforeEach(async () => {
  clock = new VirtualClock();
  inquiry = new Inquiry({ clock });
  await inquiry.start();
});

function caller(nodeId: string): Caller {
  return { nodeId, role: 'worker', clusterId: 'swarm' };
}

/** A node that listens, with what it was asked and how its stream ended. */
function node(nodeId: string) {
  const abort = new AbortController();
  const asked: Question[] = [];
  const stream = { write: (question: Question) => Promise.resolve(void asked.push(question)), signal: abort.signal };
  const ended = inquiry.listen(caller(nodeId), stream).catch(messageOf);
  return { asked, ended, hangUp: () => abort.abort(new Error('gone')) };
}

async function answer(nodeId: string, id: number, value: unknown): Promise<void> {
  inquiry.answered(caller(nodeId), { id, answerGzip: await packJson(value, 1000), error: '' });
}

describe('Inquiry', () => {
  it('brings a question to its node and the answer back', async () => {
    const a = node('a');
    const asking = inquiry.ask('a', QUESTION, 1000);
    await settle();
    const [question] = a.asked;
    expect(JSON.parse(Buffer.from(question?.questionJson ?? []).toString())).toEqual(QUESTION);
    await answer('a', question?.id ?? 0, { x: 1 });
    expect(await asking).toEqual({ x: 1 });
  });

  it('takes an answer only from the node that was asked, and only once', async () => {
    const [a] = [node('a'), node('b')];
    const asking = inquiry.ask('a', QUESTION, 1000);
    await settle();
    const id = a.asked[0]?.id ?? 0;
    await answer('b', id, 'forged');
    await answer('a', id, 'true');
    await answer('a', id, 'again');
    expect(await asking).toBe('true');
  });

  it.each([
    { id: 'a node that does not listen', of: 'b', act: async () => undefined, error: 'no session with the leader' },
    { id: 'a node that is silent', of: 'a', act: async () => clock.advance(1000), error: 'no answer within 1 s' },
    {
      id: 'a node that says why not',
      of: 'a',
      act: async () => inquiry.answered(caller('a'), { id: 1, answerGzip: new Uint8Array(), error: 'busy' }),
      error: 'busy',
    },
    {
      id: 'an answer that is none',
      of: 'a',
      act: async () => inquiry.answered(caller('a'), { id: 1, answerGzip: new Uint8Array([1, 2]), error: '' }),
      error: 'not compressed JSON',
    },
    { id: 'the end of leadership', of: 'a', act: async () => inquiry.stop(), error: 'does not lead' },
  ])('ends with an error: $id', async ({ of, act, error }) => {
    node('a');
    const asking = inquiry.ask(of, QUESTION, 1000).catch(messageOf);
    await settle();
    await act();
    expect(await asking).toContain(error);
  });

  it('gives up at once when the node hangs up', async () => {
    const a = node('a');
    const asking = inquiry.ask('a', QUESTION, 1000).catch(messageOf);
    await settle();
    a.hangUp();
    expect(await asking).toContain('lost its session');
  });

  it('keeps the newest stream of a node, and bounds what waits for one', async () => {
    const old = node('a');
    const young = node('a');
    expect(await old.ended).toContain('newer stream');
    const many = Array.from({ length: 65 }, () => inquiry.ask('a', QUESTION, 1000).catch(messageOf));
    await settle();
    expect(young.asked).toHaveLength(64);
    expect(await many[64]).toContain('too many questions');
    await clock.advance(1000);
    await Promise.all(many);
  });

  it('keeps no more for a node that reads nothing, however many askers have given up', async () => {
    const stream = { write: () => new Promise<void>(() => undefined), signal: new AbortController().signal };
    inquiry.listen(caller('a'), stream).catch(messageOf);
    const round = async (): Promise<string[]> => {
      const asked = Array.from({ length: 64 }, () => inquiry.ask('a', QUESTION, 1000).catch(messageOf));
      await clock.advance(1000);
      return (await Promise.all(asked)) as string[];
    };
    expect(new Set(await round())).toEqual(new Set(['no answer within 1 s']));
    expect((await round()).filter((words) => words.includes('too many questions')).length).toBeGreaterThan(60);
  });

  it('refuses streams while this manager does not lead', async () => {
    await inquiry.stop();
    expect(await node('a').ended).toContain('does not lead');
  });
});
