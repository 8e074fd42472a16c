import type { Annotations, Driver, ObjectMeta } from './meta.ts';

/** `Data` is base64 as in the Engine API. */
export interface SecretSpec extends Annotations {
  Data?: string;
  Driver?: Driver;
  Templating?: Driver;
}

/** A row of the table `secrets`. */
export interface SecretObject extends ObjectMeta {
  Spec: SecretSpec;
}

export interface ConfigSpec extends Annotations {
  Data?: string;
  Templating?: Driver;
}

/** A row of the table `configs`. */
export interface ConfigObject extends ObjectMeta {
  Spec: ConfigSpec;
}
