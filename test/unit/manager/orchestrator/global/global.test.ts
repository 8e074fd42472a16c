import { afterEach, beforeEach, expect, it } from 'vitest';
import { OrchestratedSwarm } from '../orchestrated-swarm.ts';

let swarm: OrchestratedSwarm;
beforeEach(async () => {
  swarm = new OrchestratedSwarm();
  await swarm.start(3);
});
afterEach(() => swarm.stop());

const onNodes = (id: string): string[] =>
  swarm
    .running(id)
    .map((task) => task.NodeID)
    .sort();
const availability = (id: string, Availability: 'active' | 'pause' | 'drain'): Promise<void> =>
  swarm.changeNode(id, (node) => ({ Spec: { ...node.Spec, Availability } }));

async function globalService(constraints: string[] = []): Promise<string> {
  const id = await swarm.createService({ Mode: { Global: {} } }, { Placement: { Constraints: constraints } });
  await swarm.run(1_000);
  return id;
}

it('runs one task on every node, and on one that joins', async () => {
  const id = await globalService();
  expect(onNodes(id)).toEqual(['n1', 'n2', 'n3']);
  expect(swarm.tasks(id).every((task) => task.Slot === 0)).toBe(true);
  await swarm.addNode('n4');
  await swarm.run(1_000);
  expect(onNodes(id)).toEqual(['n1', 'n2', 'n3', 'n4']);
});

it('keeps to its constraints, also when a label changes', async () => {
  await swarm.changeNode('n2', (node) => ({ Spec: { ...node.Spec, Labels: { zone: 'a' } } }));
  const id = await globalService(['node.labels.zone==a']);
  expect(onNodes(id)).toEqual(['n2']);
  await swarm.changeNode('n3', (node) => ({ Spec: { ...node.Spec, Labels: { zone: 'a' } } }));
  await swarm.changeNode('n2', (node) => ({ Spec: { ...node.Spec, Labels: {} } }));
  await swarm.run(1_000);
  expect(onNodes(id)).toEqual(['n3']);
  expect(swarm.wanted(id)).toHaveLength(1);
});

it.each([
  { id: 'down', away: { Status: { State: 'down' } }, back: { Status: { State: 'ready' } } },
  {
    id: 'drain',
    away: { Spec: { Role: 'worker', Availability: 'drain' } },
    back: { Spec: { Role: 'worker', Availability: 'active' } },
  },
] as const)('$id: its task is given up, another comes with the node', async ({ away, back }) => {
  const id = await globalService();
  await swarm.changeNode('n1', () => away);
  await swarm.run(1_000);
  expect(onNodes(id)).toEqual(['n2', 'n3']);
  expect(swarm.wanted(id)).toHaveLength(2);
  await swarm.changeNode('n1', () => back);
  await swarm.run(1_000);
  expect(onNodes(id)).toEqual(['n1', 'n2', 'n3']);
});

it('a node that is removed takes its tasks along', async () => {
  const id = await globalService();
  await swarm.store.update((tx) => tx.remove('nodes', 'n1'));
  await swarm.run(1_000);
  expect(swarm.tasks(id).map((task) => task.NodeID)).toEqual(['n2', 'n3']);
});

it('a paused node keeps its task, gets no restart and no update, and catches up later', async () => {
  const id = await globalService();
  await availability('n1', 'pause');
  await swarm.addNode('n4');
  await availability('n4', 'pause');
  await swarm.run(1_000);
  await swarm.updateImage(id, 'app:2');
  await swarm.run(9_000);
  expect(swarm.service(id).UpdateStatus).toMatchObject({ State: 'completed' });
  const byNode = Object.fromEntries(swarm.running(id).map((task) => [task.NodeID, task.Spec.ContainerSpec?.Image]));
  expect(byNode).toMatchObject({ n1: 'app:1', n2: 'app:2', n3: 'app:2' });
  swarm.agent.fate = (task) => (task.NodeID === 'n1' ? 'crash' : 'run');
  await swarm.run(10_000);
  expect(swarm.wanted(id).filter((task) => task.NodeID === 'n1')).toEqual([]);
  swarm.agent.fate = () => 'run';
  await availability('n1', 'active');
  await swarm.run(2_000);
  expect(swarm.running(id).find((task) => task.NodeID === 'n1')?.Spec.ContainerSpec?.Image).toBe('app:2');
});

it('is updated node by node', async () => {
  const id = await globalService();
  await swarm.updateImage(id, 'app:2');
  let least = 3;
  for (let turn = 0; turn < 30; turn++) {
    await swarm.run(100);
    least = Math.min(least, swarm.running(id).length);
  }
  expect(least).toBe(2);
  await swarm.run(6_000);
  expect(onNodes(id)).toEqual(['n1', 'n2', 'n3']);
  expect(swarm.service(id).UpdateStatus).toMatchObject({ State: 'completed' });
});

it('a task that fails is restarted on its node, after the delay', async () => {
  const id = await globalService();
  const [first] = swarm.running(id);
  swarm.agent.fate = (task) => (task.ID === first?.ID ? 'crash' : 'run');
  await swarm.run(1_000);
  expect(onNodes(id)).toHaveLength(2);
  await swarm.run(5_000);
  expect(onNodes(id)).toEqual(['n1', 'n2', 'n3']);
});

it('goes away with its service', async () => {
  const id = await globalService();
  await swarm.store.update((tx) => tx.remove('services', id));
  await swarm.run(1_000);
  expect(swarm.tasks(id)).toEqual([]);
});
