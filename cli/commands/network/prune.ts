import { filtersOf } from '../../filters.ts';
import { collect, CommandError, type Verb } from '../../command.ts';

export const addPrune: Verb = (noun, act) => {
  noun
    .command('prune')
    .description('Remove all unused networks')
    .option('--filter <filter>', "Provide filter values (e.g. 'until=<timestamp>')", collect)
    .option('-f, --force', 'Do not prompt for confirmation')
    .action(
      act<{ filter?: string[]; force?: boolean }>(async (context, flags) => {
        if (flags.force !== true) {
          throw new CommandError('all networks without a container would be removed: confirm with --force');
        }
        const query = { filters: filtersOf(flags.filter ?? []) };
        const { NetworksDeleted } = await context.client.post<{ NetworksDeleted: string[] | null }>(
          '/networks/prune',
          undefined,
          query,
        );
        if (NetworksDeleted === null || NetworksDeleted.length === 0) return;
        context.print('Deleted Networks:');
        for (const name of NetworksDeleted) context.print(name);
      }),
    );
};
