import { requireArgs, type Verb } from '../../command.ts';
import { removeEach } from '../remove-each.ts';

export const addRm: Verb = (noun, act) => {
  noun
    .command('rm')
    .alias('remove')
    .description('Remove one or more networks')
    .argument('[network...]')
    .action(
      act(async (context, _flags, args) => {
        requireArgs('network rm', args, 1);
        await removeEach(context, args, (ref) => context.client.delete(`/networks/${encodeURIComponent(ref)}`));
      }),
    );
};
