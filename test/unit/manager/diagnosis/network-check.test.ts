import { describe, expect, it } from 'vitest';
import { NetworkCheck } from '../../../../manager/diagnosis/network-check.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { NodeSurvey } from '../../../../proto/objects/diagnosis/survey.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newNode } from '../store/objects.ts';
import { survey } from './facts.ts';

describe('NetworkCheck', () => {
  it('that finds nothing any more where it looked twice tells the repair that was made meanwhile', async () => {
    const clock = new VirtualClock();
    const store = memoryStore({ clock });
    await store.update((tx) => tx.create('nodes', newNode('a', 'a')));
    const kind = 'tunnel peer altered';
    const plain: NodeSurvey = { ...survey('192.168.0.1', []), networks: [] };
    const surveys = [
      { ...plain, differences: [{ kind, object: '250.0.0.1', expected: 'x', found: 'y' }] },
      { ...plain, repairs: { [kind]: 1 } },
    ];
    const inquiry = { ask: () => Promise.resolve(surveys.shift()) };
    const check = new NetworkCheck({ store, inquiry, holdings: () => [], ports: () => [], clock });
    const running = check.run(undefined);
    await clock.advance(2_000);
    expect(await running).toMatchObject({ Findings: [], Nodes: 1, Repairs: { a: { [kind]: 1 } } });
  });
});
