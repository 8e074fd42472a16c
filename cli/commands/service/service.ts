import type { Command } from 'commander';
import type { Act } from '../../command.ts';
import { addCreate } from './create.ts';
import { addInspect } from './inspect.ts';
import { addLs } from './ls.ts';
import { addPs } from './ps.ts';
import { addRm } from './rm.ts';
import { addRollback } from './rollback.ts';
import { addScale } from './scale.ts';
import { addUpdate } from './update.ts';

export function addService(program: Command, act: Act): void {
  const noun = program.command('service').description('Manage Swarm services').enablePositionalOptions();
  for (const add of [addCreate, addInspect, addLs, addPs, addRm, addRollback, addScale, addUpdate]) add(noun, act);
}
