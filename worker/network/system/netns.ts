import { readdir, stat } from 'node:fs/promises';
import { command } from './command.ts';

/** Where `ip netns` keeps named namespaces. */
const FOLDER = '/var/run/netns';

/** The file by which a named namespace is entered. */
export function namespacePath(name: string): string {
  return `${FOLDER}/${name}`;
}

/** Names of the named namespaces, whoever made them. */
export async function listNamespaces(): Promise<string[]> {
  return readdir(FOLDER).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

/** True when the name stands for a namespace, and not for the bare file that a crash half way leaves. */
export async function namespaceExists(name: string): Promise<boolean> {
  try {
    const [entry, folder] = await Promise.all([stat(`${FOLDER}/${name}`), stat(FOLDER)]);
    return entry.dev !== folder.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Makes it anew: a bare file of that name is removed first. */
export async function createNamespace(name: string, sysctls: readonly string[]): Promise<void> {
  if ((await listNamespaces()).includes(name)) await deleteNamespace(name);
  await command('ip', ['netns', 'add', name]);
  // Keys that this kernel does not have are passed over (-e).
  await command('nsenter', [`--net=${FOLDER}/${name}`, 'sysctl', '-e', '-q', '-w', ...sysctls]);
}

/** The namespace's links are gone a moment later, once the kernel has cleaned up. Gone already is no error. */
export async function deleteNamespace(name: string): Promise<void> {
  await command('ip', ['netns', 'delete', name]).catch(async (error: unknown) => {
    if ((await listNamespaces()).includes(name)) throw error;
  });
}
