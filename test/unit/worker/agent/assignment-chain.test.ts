import { describe, expect, it } from 'vitest';
import { waggle } from '../../../../proto/gen/dispatcher.js';
import { AssignmentChain } from '../../../../worker/agent/assignment-chain.ts';
import { networkObject, taskObject } from '../../../fixtures/task-object.ts';

const { AssignmentsMessage, AssignmentKind } = waggle.dispatcher;

function message(complete: boolean, appliesTo: number, resultsIn: number, ...ids: string[]) {
  const changes = ids.map((id) => ({
    kind: id.startsWith('n')
      ? AssignmentKind.NETWORK
      : id.startsWith('s')
        ? AssignmentKind.SECRET
        : AssignmentKind.TASK,
    id: id.replace('-', ''),
    remove: id.includes('-'),
    objectJson: Buffer.from(JSON.stringify(id.startsWith('n') ? networkObject(id) : taskObject(id, 'x'))),
  }));
  // Over the wire, so that defaults are as a peer sees them.
  return AssignmentsMessage.decode(AssignmentsMessage.encode({ complete, appliesTo, resultsIn, changes }).finish());
}

describe('AssignmentChain', () => {
  it('takes a whole set and what follows it', () => {
    const chain = new AssignmentChain();
    const whole = chain.take(message(true, 0, 1, 't1', 'n1', 's1'));
    expect(whole).toMatchObject({ kind: 'complete' });
    if (whole.kind !== 'complete') return;
    expect([...whole.set.tasks.keys()]).toEqual(['t1']);
    expect([...whole.set.networks.keys()]).toEqual(['n1']);
    const next = chain.take(message(false, 1, 2, 't-1', 't2'));
    expect(next.kind === 'incremental' && [...next.set.tasks].map(([id, task]) => [id, task?.ID])).toEqual([
      ['t1', undefined],
      ['t2', 't2'],
    ]);
  });

  it('puts the parts of a large set together', () => {
    const chain = new AssignmentChain();
    expect(chain.take(message(true, 0, 0, 't1'))).toEqual({ kind: 'partial' });
    expect(chain.take(message(true, 0, 0, 't2'))).toEqual({ kind: 'partial' });
    const whole = chain.take(message(true, 0, 1, 't3'));
    expect(whole.kind === 'complete' && [...whole.set.tasks.keys()]).toEqual(['t1', 't2', 't3']);
  });

  it.each([
    { id: 'one lost', messages: [message(true, 0, 1), message(false, 2, 3)], gap: { expected: 1, got: 2 } },
    {
      id: 'one twice',
      messages: [message(true, 0, 1), message(false, 1, 2), message(false, 1, 2)],
      gap: { expected: 2, got: 1 },
    },
    { id: 'no whole set', messages: [message(false, 0, 1)], gap: { expected: 0, got: 0 } },
    {
      id: 'a change amid the parts',
      messages: [message(true, 0, 0), message(false, 0, 1)],
      gap: { expected: 0, got: 0 },
    },
  ])('finds the gap: $id', ({ messages, gap }) => {
    const chain = new AssignmentChain();
    const results = messages.map((one) => chain.take(one));
    expect(results.at(-1)).toEqual({ kind: 'gap', ...gap });
  });
});
