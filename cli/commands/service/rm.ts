import { requireArgs, type Verb } from '../../command.ts';
import { removeEach } from '../remove-each.ts';

export const addRm: Verb = (noun, act) => {
  noun
    .command('rm')
    .alias('remove')
    .description('Remove one or more services')
    .argument('[service...]')
    .action(
      act(async (context, _flags, args) => {
        requireArgs('service rm', args, 1);
        await removeEach(context, args, (ref) => context.client.delete(`/services/${encodeURIComponent(ref)}`));
      }),
    );
};
