import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Backend, NetworkMapping } from './backend.ts';

/**
 * The local twin of a swarm network that a container is about to join, made if need be; undefined when `ref` is no
 * swarm network. @throws WaggleError permission-denied in Docker's words, and what the backend throws.
 */
export async function attachLocalNetwork(backend: Backend, ref: string): Promise<NetworkMapping | undefined> {
  if (backend.status().state === 'inactive') return undefined;
  try {
    return await backend.ensureLocalNetwork(ref);
  } catch (error) {
    if (!(error instanceof WaggleError) || error.code !== 'permission-denied') throw error;
    throw new WaggleError(
      'permission-denied',
      `Could not attach to network ${ref}: rpc error: code = PermissionDenied desc = network ${ref} not manually attachable`,
      { cause: error },
    );
  }
}
