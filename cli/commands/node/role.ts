import type { NodeRole } from '../../../proto/objects/node.ts';
import { requireArgs, type Verb } from '../../command.ts';
import { getNode, updateNodes } from './api-node.ts';

export const addPromote: Verb = (noun, act) => {
  noun
    .command('promote')
    .description('Promote one or more nodes to manager in the swarm')
    .argument('[node...]', 'hostname or ID')
    .action(
      act(async (context, _flags, args) => {
        requireArgs('node promote', args, 1);
        await changeRole(context, args, 'manager', 'promoted to a manager');
      }),
    );
};

export const addDemote: Verb = (noun, act) => {
  noun
    .command('demote')
    .description('Demote one or more nodes from manager in the swarm')
    .argument('[node...]', 'hostname or ID')
    .action(
      act(async (context, _flags, args) => {
        requireArgs('node demote', args, 1);
        await changeRole(context, args, 'worker', 'demoted in the swarm');
      }),
    );
};

async function changeRole(
  context: Parameters<typeof updateNodes>[0],
  refs: readonly string[],
  role: NodeRole,
  outcome: string,
): Promise<void> {
  for (const ref of refs) {
    const node = await getNode(context, ref);
    if (node.Spec.Role === role) {
      context.print(`Node ${node.ID} is already a ${role}.`);
      continue;
    }
    const change = (): typeof node.Spec => ({ ...node.Spec, Role: role });
    await updateNodes(context, [ref], change, () =>
      role === 'manager' ? `Node ${ref} ${outcome} in the swarm.` : `Manager ${ref} ${outcome}.`,
    );
  }
}
