import { filtersOf } from '../../filters.ts';
import type { Verb } from '../../command.ts';
import { addTaskListingFlags, type ApiTask, printTasks, type TaskListingFlags } from '../task-listing.ts';
import { getNode } from './api-node.ts';

export const addPs: Verb = (noun, act) => {
  const command = noun
    .command('ps')
    .description('List tasks running on one or more nodes, defaults to current node')
    .argument('[node...]', 'self, hostname or ID');
  addTaskListingFlags(command).action(
    act<TaskListingFlags>(async (context, flags, args) => {
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
