import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from './run.ts';

/**
 * The test image: one static busybox, and iperf3 with its libraries when it is installed. Its registry is a closed local port,
 * so that a pull fails at once and the local copy is used.
 */
export const TEST_IMAGE = '127.0.0.1:5000/bb:1';

/** Builds the image's file system once as a tar file. @returns its path. */
export async function buildImageTar(folder: string): Promise<string> {
  const tar = path.join(folder, 'image.tar');
  if (existsSync(tar)) return tar;
  const root = path.join(folder, `rootfs-${process.pid}`);
  for (const each of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'root', 'var/run', 'www']) {
    mkdirSync(path.join(root, each), { recursive: true });
  }
  copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
  chmodSync(path.join(root, 'bin/busybox'), 0o755);
  await run('chroot', [root, '/bin/busybox', '--install', '-s', '/bin']);
  await addProgram(root, '/usr/bin/iperf3');
  await run('tar', ['-C', root, '-cf', `${tar}.${process.pid}`, '.']);
  renameSync(`${tar}.${process.pid}`, tar);
  rmSync(root, { recursive: true, force: true });
  return tar;
}

/** A dynamically linked program with the libraries that it loads. */
async function addProgram(root: string, program: string): Promise<void> {
  if (!existsSync(program)) return;
  const { stdout } = await run('ldd', [program]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
  for (const file of [program, ...libraries]) {
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(file, target);
    chmodSync(target, 0o755);
  }
}
