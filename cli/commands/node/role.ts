import type { NodeRole } from '../../../proto/objects/node.ts';
import { requireArgs, type Verb } from '../../command.ts';
import { getNode, updateNodes } from './api-node.ts';

export const addPromote = roleVerb({
  verb: 'promote',
  description: 'Promote one or more nodes to manager in the swarm',
  role: 'manager',
  outcome: (ref) => `Node ${ref} promoted to a manager in the swarm.`,
});

export const addDemote = roleVerb({
  verb: 'demote',
  description: 'Demote one or more nodes from manager in the swarm',
  role: 'worker',
  outcome: (ref) => `Manager ${ref} demoted in the swarm.`,
});

interface RoleChange {
  verb: string;
  description: string;
  role: NodeRole;
  outcome: (ref: string) => string;
}

function roleVerb({ verb, description, role, outcome }: RoleChange): Verb {
  return (noun, act) => {
    noun
      .command(verb)
      .description(description)
      .argument('[node...]', 'hostname or ID')
      .action(
        act(async (context, _flags, args) => {
          requireArgs(`node ${verb}`, args, 1);
          for (const ref of args) {
            const node = await getNode(context, ref);
            if (node.Spec.Role === role) context.print(`Node ${node.ID} is already a ${role}.`);
            else await updateNodes(context, [ref], ({ Spec }) => ({ ...Spec, Role: role }), outcome);
          }
        }),
      );
  };
}
