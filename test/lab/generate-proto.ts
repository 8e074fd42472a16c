/** Generates proto/gen from proto/*.proto when it is missing or older than its source. `npm run gen`. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const protoFolder = path.join(root, 'proto');
const genFolder = path.join(protoFolder, 'gen');
const bin = path.join(root, 'node_modules/.bin');

mkdirSync(genFolder, { recursive: true });
for (const file of readdirSync(protoFolder).filter((name) => name.endsWith('.proto'))) {
  const source = path.join(protoFolder, file);
  const script = path.join(genFolder, file.replace('.proto', '.js'));
  const types = script.replace(/\.js$/, '.d.ts');
  if (existsSync(types) && statSync(types).mtimeMs > statSync(source).mtimeMs) continue;
  execFileSync(
    path.join(bin, 'pbjs'),
    [
      '-t',
      'static-module',
      '-w',
      'esm',
      '--dependency',
      '../rpc/pbrt.js',
      '--no-verify',
      '--no-convert',
      '--no-delimited',
      '--no-typeurl',
      '--null-semantics',
      '--force-number',
      '--root',
      `waggle-${path.parse(file).name}`,
      '-d',
      '-o',
      script,
      source,
    ],
    { stdio: 'inherit' },
  );
  if (!existsSync(types)) {
    rmSync(script);
    throw new Error(`no types were generated for ${file}`);
  }
  writeFileSync(types, readFileSync(types, 'utf8').replace(/^import Long = .*$/m, ''));
}
