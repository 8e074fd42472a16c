import { enableCompileCache } from 'node:module';

// Before anything else is loaded, so that all of it comes from the cache.
enableCompileCache();
const { createTerminal } = await import('./terminal.ts');
const { runProgram } = await import('./program.ts');

process.exitCode = await runProgram(process.argv.slice(2), createTerminal(), process.env['WAGGLE_HOST']);
