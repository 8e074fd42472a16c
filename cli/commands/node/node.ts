import type { Command } from 'commander';
import type { Act } from '../../command.ts';
import { addInspect } from './inspect.ts';
import { addLs } from './ls.ts';
import { addPs } from './ps.ts';
import { addDemote, addPromote } from './role.ts';
import { addRm } from './rm.ts';
import { addUpdate } from './update.ts';

export function addNode(program: Command, act: Act): void {
  const noun = program.command('node').description('Manage Swarm nodes').enablePositionalOptions();
  for (const add of [addDemote, addInspect, addLs, addPromote, addPs, addRm, addUpdate]) add(noun, act);
}
