import type { NodeAvailability, NodeRole } from '../../../proto/objects/node.ts';
import { collect, CommandError, requireArgs, type Verb } from '../../command.ts';
import { updateNodes } from './api-node.ts';

interface Flags {
  availability?: string;
  role?: string;
  labelAdd?: string[];
  labelRm?: string[];
}

export const addUpdate: Verb = (noun, act) => {
  noun
    .command('update')
    .description('Update a node')
    .argument('[node...]', 'hostname or ID')
    .option('--availability <how>', 'Availability of the node ("active", "pause", "drain")')
    .option('--role <role>', 'Role of the node ("worker", "manager")')
    .option('--label-add <label>', 'Add or update a node label (key=value)', collect)
    .option('--label-rm <key>', 'Remove a node label if exists', collect)
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('node update', args, 1, 1);
        await updateNodes(
          context,
          args,
          ({ Spec }) => ({
            ...Spec,
            ...(flags.availability === undefined ? {} : { Availability: flags.availability as NodeAvailability }),
            ...(flags.role === undefined ? {} : { Role: flags.role as NodeRole }),
            Labels: changeLabels(Spec.Labels ?? {}, flags),
          }),
          (ref) => ref,
        );
      }),
    );
};

function changeLabels(labels: Record<string, string>, flags: Flags): Record<string, string> {
  const next = { ...labels };
  for (const pair of flags.labelAdd ?? []) {
    const at = pair.indexOf('=');
    next[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? '' : pair.slice(at + 1);
  }
  for (const key of flags.labelRm ?? []) {
    if (!(key in labels)) throw new CommandError(`key ${key} doesn't exist in node's labels`);
    delete next[key];
  }
  return next;
}
