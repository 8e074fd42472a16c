import type { Command } from 'commander';
import type { Act } from '../../command.ts';
import { addCheck } from './check.ts';
import { addConnect, addDisconnect } from './connect.ts';
import { addCreate } from './create.ts';
import { addInspect } from './inspect.ts';
import { addLs } from './ls.ts';
import { addPrune } from './prune.ts';
import { addRm } from './rm.ts';
import { addTrace } from './trace.ts';

export function addNetwork(program: Command, act: Act): void {
  const noun = program.command('network').description('Manage networks').enablePositionalOptions();
  const verbs = [addCheck, addConnect, addCreate, addDisconnect, addInspect, addLs, addPrune, addRm, addTrace];
  for (const add of verbs) add(noun, act);
}
