import type { Command } from 'commander';
import type { Act } from '../../command.ts';
import { addCa } from './ca.ts';
import { addInit } from './init.ts';
import { addJoin } from './join.ts';
import { addJoinToken } from './join-token.ts';
import { addLeave } from './leave.ts';
import { addUnlock } from './unlock.ts';
import { addUnlockKey } from './unlock-key.ts';
import { addUpdate } from './update.ts';

export function addSwarm(program: Command, act: Act): void {
  const noun = program.command('swarm').description('Manage Swarm').enablePositionalOptions();
  for (const add of [addCa, addInit, addJoin, addJoinToken, addLeave, addUnlock, addUnlockKey, addUpdate])
    add(noun, act);
}
