/** A name of an image, as the engine's API takes it apart. */
export interface ImageReference {
  /** As users write it: no `docker.io/library/`. */
  name: string;
  /** Absent when there is a digest and none was written. */
  tag?: string;
  /** `sha256:…`. */
  digest?: string;
}

const DEFAULT_REGISTRIES = ['docker.io/', 'index.docker.io/'];

/**
 * Takes `[registry/]name[:tag][@digest]` apart (distribution's reference grammar, what of it matters here); without
 * tag and digest the tag is `latest`. Does not judge: what is wrong in it, the engine says.
 */
export function parseImageReference(text: string): ImageReference {
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const tag = tagged ? named.slice(colon + 1) : digest === undefined ? 'latest' : undefined;
  return {
    name: familiarName(tagged ? named.slice(0, colon) : named),
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The whole reference in its familiar form. */
export function imageReferenceText(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${reference.name}${tag}${digest}`;
}

function familiarName(name: string): string {
  const registry = DEFAULT_REGISTRIES.find((prefix) => name.startsWith(prefix));
  if (registry === undefined) return name;
  const rest = name.slice(registry.length);
  const official = rest.startsWith('library/') ? rest.slice('library/'.length) : rest;
  return official.includes('/') ? rest : official;
}
