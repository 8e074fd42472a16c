import { ApiError } from '../../client.ts';
import { filtersOf } from '../../filters.ts';
import { CommandError, requireArgs, type Verb } from '../../command.ts';
import { addTaskListingFlags, type ApiTask, printTasks, type TaskListingFlags } from '../task-listing.ts';
import { getService } from './api-service.ts';

export const addPs: Verb = (noun, act) => {
  const command = noun.command('ps').description('List the tasks of one or more services').argument('[service...]');
  addTaskListingFlags(command).action(
    act<TaskListingFlags>(async (context, flags, args) => {
      requireArgs('service ps', args, 1);
      const tasks: ApiTask[] = [];
      const missing: string[] = [];
      for (const ref of args) {
        try {
          const service = await getService(context, ref);
          const filters = filtersOf([...(flags.filter ?? []), `service=${service.ID}`]);
          tasks.push(...(await context.client.get<ApiTask[]>('/tasks', { filters })));
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 404) throw error;
          missing.push(`no such service: ${ref}`);
        }
      }
      if (tasks.length > 0 || missing.length === 0) await printTasks(context, tasks, flags);
      if (missing.length > 0) throw new CommandError(missing.join('\n'));
    }),
  );
};
