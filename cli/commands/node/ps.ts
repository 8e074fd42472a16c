import { filtersOf } from '../../filters.ts';
import { collect, type Verb } from '../../command.ts';
import { type ApiTask, printTasks, type TaskListingFlags } from '../task-listing.ts';
import { getNode } from './api-node.ts';

interface Flags extends TaskListingFlags {
  filter?: string[];
}

export const addPs: Verb = (noun, act) => {
  noun
    .command('ps')
    .description('List tasks running on one or more nodes, defaults to current node')
    .argument('[node...]', 'self, hostname or ID')
    .option('-f, --filter <filter>', 'Filter output based on conditions provided', collect)
    .option('--format <template>', 'Pretty-print tasks using a Go template')
    .option('--no-resolve', 'Do not map IDs to Names')
    .option('--no-trunc', 'Do not truncate output')
    .option('-q, --quiet', 'Only display task IDs')
    .action(
      act<Flags>(async (context, flags, args) => {
        const tasks: ApiTask[] = [];
        for (const ref of args.length === 0 ? ['self'] : args) {
          const node = await getNode(context, ref);
          const filters = filtersOf([...(flags.filter ?? []), `node=${node.ID}`]);
          tasks.push(...(await context.client.get<ApiTask[]>('/tasks', { filters })));
        }
        await printTasks(context, tasks, flags);
      }),
    );
};
