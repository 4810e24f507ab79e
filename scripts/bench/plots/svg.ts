/** Draws plots as SVG, without a browser. Source: echarts' manual, "Server Side Rendering". */
import { BarChart, CustomChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([
  BarChart,
  CustomChart,
  LineChart,
  GridComponent,
  LegendComponent,
  TitleComponent,
  SVGRenderer,
]);

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly option: EChartsCoreOption;
}

export function svgOf({ width, height, option }: Picture): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    const font = { fontFamily: 'sans-serif' };
    chart.setOption({ animation: false, backgroundColor: '#fff', textStyle: font, ...option });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}
