import type { Metric } from '../measure/measurement.js';
import type { Summaries } from '../report.js';
import type { Suite } from '../suites/suite.js';
import { barPicture } from './bars.js';
import { linePicture } from './lines.js';
import { svgOf } from './svg.js';

export interface Drawing {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** Of those of the suite's plots of which something was measured. */
export function drawAll(
  { plots, subject }: Suite,
  metrics: readonly Metric[],
  peers: readonly string[],
  results: Summaries,
): Drawing[] {
  return plots.flatMap((plot) => {
    const picture =
      'bars' in plot
        ? barPicture(plot, metrics, peers, results, subject)
        : linePicture(plot, peers, results);
    const { name, title } = plot;
    return picture === undefined ? [] : [{ name, title, svg: svgOf(picture) }];
  });
}
